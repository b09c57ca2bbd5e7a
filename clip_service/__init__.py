"""CLIP service: image or text ▸ embedding."""
