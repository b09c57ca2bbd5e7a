-- Immich 2.2: lines cannot be hidden, encoded videos are a column, no closure of stacks on face visibility.
ALTER TABLE asset_ocr DROP COLUMN "isVisible";
ALTER TABLE asset ADD COLUMN "encodedVideoPath" varchar DEFAULT '';
