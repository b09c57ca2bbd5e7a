"""Text recognition service: detect ▸ crop ▸ recognise."""
