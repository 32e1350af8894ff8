"""The case of a declared SOAP connector: its twin is the contract, its people are the samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from connectors.conformance.case import Bench, Case, Stand
from connectors.conformance.played.samples import Samples
from connectors.conformance.played.settings import addresses_of, settings_of
from connectors.conformance.played.soap_keeps import harmless_in, keeps_of, no_for, place_in
from connectors.conformance.played.soap_news import news_of
from connectors.sdk.contract.message_places import with_value_at
from connectors.sdk.contract.wsdl import read_wsdl
from connectors.sdk.contract_twins.wsdl_twin import Refusal, WsdlTwin
from connectors.sdk.discovery import connector_class, folder_module
from connectors.sdk.kinds.soap import SoapConnector
from connectors.sdk.kinds.texts import names_in
from schemas.delivery import Delivery, Opened
from schemas.exchange import Question
from schemas.manifest import Manifest

_KEY = "key:"


def cases(manifest: Manifest, samples: Samples) -> Sequence[Stand]:
    """One: everything that is declared, against a twin that keeps to the contract."""
    return (partial(_played, samples),)


@contextmanager
def _played(samples: Samples, bench: Bench) -> Iterator[Case]:
    play = Play(samples, bench)
    with play.twin:
        yield play.case()


class Play:
    """One connection to one twin. Raises ConfigError for a contract or samples that cannot be used."""

    def __init__(self, samples: Samples, bench: Bench) -> None:
        self.samples, self.bench = samples, bench
        self.declared: Mapping[str, Any] = samples.manifest.declared
        self.opened: list[Opened] = []
        self.twin = self._new_twin()

    def _new_twin(self) -> WsdlTwin:
        folder, kind = self.samples.manifest.folder, WsdlTwin
        if (folder / "twin.py").exists():
            kind = folder_module(folder, "twin").Twin
        wsdl = (folder / self.declared["soap"]["wsdl"]).resolve()
        harmless = {one.name for one in read_wsdl(wsdl).operations if one.harmless} | harmless_in(self.declared)
        twin = kind(wsdl, keeps=keeps_of(self.declared), harmless=harmless, samples=self.samples.answer)
        for spec in self.declared.get("deliver", ()):
            again = spec.get("again", "none")
            if again == "same-state" or again.startswith(_KEY):
                twin.known_by[spec["operation"]] = again.removeprefix(_KEY) if again.startswith(_KEY) else ""
        twin.pending = no_for(self.declared, ("later",), named=True) if "follow" in self.declared else None
        twin.nobody = frozenset(self._strangers())
        return twin

    def _strangers(self) -> set[str]:
        said = [asked.stranger for asked in self.samples.asked if asked.stranger is not None]
        known = {text for asked in self.samples.asked for text in _told_by(asked.question)}
        return {text for one in said for text in _told_by(one)} - known

    # the connection

    def connect(self) -> SoapConnector:
        context = replace(self.bench.context(self.settings), opened=lambda at: [o for o in self.opened if o.at >= at])
        made = connector_class(self.samples.manifest)(context)
        assert isinstance(made, SoapConnector)
        return made

    def _settings(self) -> dict[str, Any]:
        soap, settings = self.declared["soap"], self.declared.get("settings", {})
        within = bool(set(soap["url"]) and soap["url"] != f"{{{(names_in(soap['url']) or ('',))[0]}}}")
        address = self.twin.url if within else self.twin.address
        given: dict[str, Any] = {**addresses_of(self.declared, "soap", lambda name: address)}
        if soap.get("timeout") in settings:
            given[soap["timeout"]] = self.bench.timeout
        return settings_of(self.samples, given)

    def _open_door(self, connector: SoapConnector) -> None:
        """Let in who names the account that this connection was given."""
        self.twin.path = urlsplit(connector.fill(self.declared["soap"]["url"])).path or "/"
        auth = self.declared["soap"].get("auth", {})
        if auth.get("kind") in ("basic", "ws-security"):
            account = (connector.fill(auth["user"]), connector.fill_secret(auth["password"]).reveal())
            self.twin.account = account if auth["kind"] == "basic" else None
            self.twin.login = account if auth["kind"] == "ws-security" else None

    # the case

    def case(self) -> Case:
        self.settings = self._settings()
        connector = self.connect()
        self._open_door(connector)
        self._say_of_nobody()
        news = news_of(connector, self.twin, self.opened, self.bench.clock)
        return Case(
            connect=self.connect, twin=self.twin, deliveries=self.samples.deliveries,
            effects=self.twin.effects if self.samples.deliveries else None,
            refuse=self._refuse if self.samples.deliveries else None,
            deny=lambda: self.twin.misbehave("401", times=4), turns=self.samples.turns,
            news=news.add if news else None, turn=news.turn if news else None, opened=self.opened,
            words=getattr(news, "words", ()),
            personal=self.samples.personal, asked=self.samples.asked,
        )  # fmt: skip

    def _say_of_nobody(self) -> None:
        """What the package answers about somebody, or something, that it does not know."""
        no = no_for(self.declared, ("not-matched", "no-record"))
        set_here = frozenset(str(one) for one in self.settings.values() if isinstance(one, str | int | float))
        for spec in self.declared.get("answer", ()):
            name = spec["operation"]
            self.twin.about_people[name] = set_here
            if "list" in spec:
                self.twin.absent[name] = with_value_at(self.twin.usual(name), place_in(spec["list"]), [])
            elif no is not None:
                self.twin.absent[name] = no
        for spec in self.declared.get("deliver", ()):
            look = spec.get("look_up")
            if look is not None and no is not None:
                self.twin.absent[look["operation"]] = no

    def _refuse(self) -> None:
        last: Delivery = self.samples.deliveries[-1]
        spec = next(one for one in self.declared["deliver"] if one["type"] == last.event.type)
        no = no_for(self.declared, ("refused", "expired")) or Refusal()
        self.twin.refuse(spec["operation"], no.code, detail=no.detail, inside=no.inside)


def _told_by(question: Question) -> set[str]:
    identity = question.identity or {}
    told = [question.reference, identity.get("family_name"), *question.parameters.values()]
    return {str(one) for one in told if one}
