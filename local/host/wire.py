"""
Puts plain objects in place of the protobuf messages between the real host and its worker.

azure-functions-runtime gets its message classes from the process that drives it, and only reads
and sets attributes, so neither protobuf nor gRPC is needed.
"""

from types import SimpleNamespace
from typing import Any, Final


class Message(SimpleNamespace):
    """A message whose unset fields read as None, as the worker expects of protobuf."""

    def __getattr__(self, name: str) -> Any:
        # The worker tells a wrapped value from a bare one by whether this name exists.
        if name.startswith("__") or name == "TypedData":
            raise AttributeError(name)
        return None


class TypedData(Message):
    """One value under the name of its type: string, bytes, json, http, int or double."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 -- protobuf's name
        return next(iter(vars(self)), None)


class ParameterBinding(Message):
    def WhichOneof(self, _group: str) -> str:  # noqa: N802 -- protobuf's name
        return "data"


class BindingInfo(Message):
    # The enumerations Direction and DataType, which protobuf puts on the class.
    undefined = 0
    out = 1
    inout = 2


class StatusResult(Message):
    Failure = 0
    Success = 1
    Cancelled = 2


class RpcHttpCookie(Message):
    # A class body cannot assign the name "None".
    SameSite: Final = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


_PLAIN: Final = (
    "FunctionLoadResponse",
    "FunctionMetadataResponse",
    "InvocationResponse",
    "NullableBool",
    "NullableDouble",
    "NullableString",
    "NullableTimestamp",
    "RpcException",
    "RpcFunctionMetadata",
    "RpcHttp",
    "RpcRetryOptions",
    "Timestamp",
    "WorkerInitResponse",
    "WorkerMetadata",
)

PROTOS: Final = SimpleNamespace(
    BindingInfo=BindingInfo,
    ParameterBinding=ParameterBinding,
    RpcHttpCookie=RpcHttpCookie,
    StatusResult=StatusResult,
    TypedData=TypedData,
    **{name: type(name, (Message,), {}) for name in _PLAIN},
)
