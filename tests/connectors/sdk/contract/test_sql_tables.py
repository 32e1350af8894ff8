"""The statements that create tables, in three dialects, read as a contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sdk.contract.sql_tables import GROWS, KEY, read_sql, tables_in
from schemas.errors import ConfigError

MYSQL = """
/*!40101 SET NAMES utf8 */;
-- the queue; of the desks
DROP TABLE IF EXISTS `tickets`;
CREATE TABLE `tickets` (
  `rank` int(11) unsigned NOT NULL AUTO_INCREMENT,
  `request` varchar(20) COLLATE utf8_bin DEFAULT NULL COMMENT 'Le numéro; de la demande',
  `state` enum('called','done') NOT NULL DEFAULT 'called',
  `urgent` tinyint(1) DEFAULT '0',
  `amount` decimal(10,2) DEFAULT NULL,
  `changed` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (`rank`),
  KEY `by_state` (`state`,`changed`)
) ENGINE=InnoDB AUTO_INCREMENT=3 COMMENT='La file d''attente';
INSERT INTO `tickets` VALUES (1,'T-1','called',0,NULL,'2026-03-02 10:00:00'),(2,'L\\'autre; (2)','done',1,12.50,NULL);
"""
POSTGRES = """
CREATE TABLE public.tickets (
    rank bigint NOT NULL,
    request character varying(20),
    "state" text DEFAULT 'called'::text NOT NULL,
    urgent boolean,
    amount numeric(10,2),
    changed timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT known CHECK ((state = ANY (ARRAY['called'::text, 'done'::text])))
);
COMMENT ON COLUMN public.tickets.request IS 'Le numéro de la demande';
ALTER TABLE ONLY public.tickets ALTER COLUMN rank SET DEFAULT nextval('public.tickets_rank_seq'::regclass);
ALTER TABLE ONLY public.tickets ADD CONSTRAINT tickets_pkey PRIMARY KEY (rank);
"""
SQLITE = """
create table if not exists [tickets] (
  rank integer primary key, request text, state text not null, urgent bool, amount real, changed datetime,
  key text, /* a column, whatever it is called */
  unique (request), check (state in ('called', 'done'))
) without rowid;
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "tables.sql"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("text", "growing"), [
    (MYSQL, {"rank", "changed"}), (POSTGRES, {"rank"}), (SQLITE, {"rank"}),
])  # fmt: skip
def test_each_dialect_gives_the_same_columns(tmp_path: Path, text: str, growing: set[str]) -> None:
    contract = read_sql(written(tmp_path, text))

    (operation,) = contract.operations
    found = {one.place: one for one in operation.gives}
    assert (contract.kind, operation.name) == ("sql", "tickets")
    assert [found[name].type for name in ("rank", "state", "urgent", "amount", "changed")] == [
        "integer", "text", "boolean", "number", "instant",
    ]  # fmt: skip
    assert (found["rank"].limits[KEY], found["rank"].required, found["state"].required) == (True, True, True)
    assert not found["request"].required
    assert {name for name, one in found.items() if one.limits.get(GROWS)} == growing


def test_lengths_choices_and_remarks_are_kept(tmp_path: Path) -> None:
    found = {one.place: one for one in read_sql(written(tmp_path, MYSQL)).operations[0].gives}

    assert (found["request"].limits["maxLength"], found["request"].about) == (20, "Le numéro; de la demande")
    assert found["state"].choices == ("called", "done")
    postgres = {one.place: one for one in read_sql(written(tmp_path, POSTGRES)).operations[0].gives}
    assert (postgres["request"].about, postgres["request"].type) == ("Le numéro de la demande", "text")


def test_the_rows_of_a_file_come_with_its_tables(tmp_path: Path) -> None:
    (table,) = tables_in(written(tmp_path, MYSQL))

    assert [row["request"] for row in table.rows] == ["T-1", "L'autre; (2)"]
    assert table.rows[1]["changed"] is None


def test_one_table_of_several_is_read_where_it_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, MYSQL + "create table desks (id int primary key, name text);")

    assert [one.name for one in read_sql(path, table="DESKS").operations] == ["desks"]
    with pytest.raises(ConfigError, match="tickets, desks"):
        read_sql(path, table="guichets")


@pytest.mark.parametrize("text", ["", "select 1;", "create table", "create table x", "-- create table x (a int);"])
def test_a_file_without_a_table_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="no CREATE TABLE"):
        read_sql(written(tmp_path, text))


@pytest.mark.parametrize("text", [
    "create table x (a int", "create table x (a int, 'b", "create table x (,,a int,)",
    "create table x (a); insert into x values ((1,2),3)", "create table x (a int); insert into x values (1",
    "create table x (a int); alter table x add primary key", "create table y ((((; create table x (a int)",
])  # fmt: skip
def test_text_that_is_cut_anywhere_is_read_as_far_as_it_goes(tmp_path: Path, text: str) -> None:
    assert "a" in {name for one in tables_in(written(tmp_path, text)) for name in one.columns}
