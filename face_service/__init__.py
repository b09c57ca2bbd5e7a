"""Face service: detect ▸ align ▸ embedding."""

import mesh  # noqa: F401 - before any library that would report to its maker, see mesh.core.privacy
