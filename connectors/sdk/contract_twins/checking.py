"""What a contract says against a call, and against the answer to one."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from connectors.sdk.twin import TwinAnswer, TwinCall


@runtime_checkable
class ContractChecker(Protocol):
    """A contract that calls and answers are held against. What it says names places and rules, never a value."""

    def request_fault(self, call: TwinCall) -> str:
        """Why the contract refuses this call; "" when it does not, or says nothing of it."""

    def answer_fault(self, call: TwinCall, answer: TwinAnswer) -> str:
        """Why the contract does not allow this answer; "" when it does, or says nothing of it."""


@runtime_checkable
class Contracted(Protocol):
    """A twin that is held against a contract."""

    contract: ContractChecker

    def beyond_contract(self, call: TwinCall) -> bool:
        """Whether a call is to what the contract does not speak of and the package has: where one signs in."""
