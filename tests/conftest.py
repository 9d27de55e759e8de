import pytest
@pytest.fixture(scope="session")
def azurite() -> str:
    k="Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    b="http://127.0.0.1"
    return f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={k};BlobEndpoint={b}:21000/devstoreaccount1;QueueEndpoint={b}:21001/devstoreaccount1;TableEndpoint={b}:21002/devstoreaccount1;"
