"""The mapping table of a declared connector: `mapping.csv`, its converters, and what `check` says of them.

Pure: the only thing read is the file. `docs/mapping.md` shows it by an example.
"""

from connectors.sdk.mapping.check import table_faults
from connectors.sdk.mapping.converters import Converter
from connectors.sdk.mapping.declared import Converters, converters_from
from connectors.sdk.mapping.granted import fields_of
from connectors.sdk.mapping.places import Template, names_of
from connectors.sdk.mapping.rows import Row
from connectors.sdk.mapping.table import Map, MappingTable, Traced, value_reader

__all__ = [
    "Converter", "Converters", "Map", "MappingTable", "Row", "Template", "Traced", "converters_from",
    "fields_of", "names_of", "table_faults", "value_reader",
]  # fmt: skip
