"""How the mesh reaches Immich's database and how it weighs text against vectors."""

from pydantic import Field, SecretStr

from mesh.core.settings import Frozen


class HybridWeights(Frozen):
    """What text and vector add to a hybrid result's score; both sides are calibrated to 0..1 before they are
    weighed."""

    text: float = Field(1.0, ge=0, le=10, description="Weight of the text in photos.")
    vector: float = Field(1.0, ge=0, le=10, description="Weight of what photos look like (CLIP).")


class DatabaseSettings(Frozen):
    """Immich's PostgreSQL, as the mesh uses it. Nested into the router's settings; the CLI builds one from its
    options."""

    url: SecretStr | None = Field(
        None, description="postgresql://user:password@host:port/database of Immich's database; empty for none."
    )
    pool_size: int = Field(8, ge=1, le=100, description="Most connections that searches hold at once.")
    connect_timeout_seconds: float = Field(3.0, gt=0, description="Limit of opening one connection.")
    statement_timeout_ms: int = Field(5000, ge=10, description="Limit of one statement; a search fails fast after it.")
    retry_after_seconds: float = Field(
        2.0,
        ge=0,
        description="After a hang, searches are refused at once for this long before the database is asked again.",
    )
    vector_candidates: int = Field(200, ge=10, le=1000, description="Best photos taken from the vector index.")
    text_candidates: int = Field(
        200, ge=10, le=1000, description="Best photos taken from the text index in hybrid search."
    )
    pinyin: bool = Field(False, description="Whether fapiao also finds 发票, below what is written so.")
    weights: HybridWeights = HybridWeights()
