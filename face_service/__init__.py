"""Face service: detect ▸ align ▸ embedding."""
