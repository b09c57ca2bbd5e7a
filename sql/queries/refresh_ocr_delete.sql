DELETE FROM {schema}.asset_ocr WHERE "assetId" = $1
