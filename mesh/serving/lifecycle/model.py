"""A part of a model as the lifecycle sees it: an engine, and what can be told about it."""

from mesh.serving.inference.engine import Engine


class EngineModel:
    """Base of the services' models; see `mesh.serving.lifecycle.slot.LoadedModel`.

    Args:
        engine: runs the graph.
        dimension: length of the embeddings that the model gives; 0 when it gives none.
    """

    def __init__(self, engine: Engine, dimension: int = 0) -> None:
        self.engine = engine
        self.dimension = dimension

    @property
    def memory_bytes(self) -> int:
        """Memory that the graph holds."""
        return self.engine.memory_bytes

    @property
    def provider(self) -> str:
        """What runs the graph, and why that where there was a choice."""
        engine = self.engine
        return f"{engine.provider} ({engine.reason})" if engine.reason else engine.provider

    async def drain(self) -> None:
        """Refuses new work and returns when the work under way is done."""
        await self.engine.drain()

    def close(self) -> None:
        """Gives the memory back. Blocking."""
        self.engine.close()
