DELETE FROM {schema}.ocr_search WHERE "assetId" = $1
