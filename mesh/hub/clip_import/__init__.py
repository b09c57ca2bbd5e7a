"""Ready-made Chinese-CLIP ONNX files of the Hugging Face hub, adapted into Immich's layout. Needs no torch."""
