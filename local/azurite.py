"""Builds the connection string of a storage emulator on this machine."""

from typing import Final

# Azurite documents this account and its key for everybody; they open nothing else.
_ACCOUNT: Final = "devstoreaccount1"
_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def connection_string(blob: str, queue: str, table: str) -> str:
    """Name the account at these ports of 127.0.0.1."""
    endpoints = "".join(
        f"{name}Endpoint=http://127.0.0.1:{port}/{_ACCOUNT};"
        for name, port in (("Blob", blob), ("Queue", queue), ("Table", table))
    )
    return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};{endpoints}"
