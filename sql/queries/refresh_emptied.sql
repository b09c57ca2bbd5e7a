-- When Immich last emptied its OCR table for a forced run, as our trigger saw it.
SELECT at FROM mesh.emptied WHERE source = 'asset_ocr'
