"""A credential that is replaced where Graph refuses its token."""

from dataclasses import dataclass, field

from shared.adapters.graph.credential import RenewableCredential


@dataclass
class OneToken:
    token: str
    closed: list[str]

    async def get_token(self, *scopes: str) -> str:
        return f"{self.token} for {scopes[0]}"

    async def close(self) -> None:
        self.closed.append(self.token)


@dataclass
class Maker:
    made: int = 0
    closed: list[str] = field(default_factory=list)

    def __call__(self) -> OneToken:
        self.made += 1
        return OneToken(f"t{self.made}", self.closed)


async def test_a_renewed_credential_gives_another_token_and_closes_the_old() -> None:
    maker = Maker()
    credential = RenewableCredential(maker)

    first = [await credential.get_token("graph"), await credential.get_token("graph")]
    await credential.renew()
    second = await credential.get_token("graph")

    assert (first, second) == (["t1 for graph"] * 2, "t2 for graph")
    assert maker.closed == ["t1"]
