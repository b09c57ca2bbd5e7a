-- The predecessor's fork of Immich: its own text table instead of asset_ocr.
DROP TABLE asset_ocr, ocr_search;
CREATE TABLE ocr_info ("assetId" uuid PRIMARY KEY REFERENCES asset ON DELETE CASCADE, text text, "ocrJson" jsonb);
