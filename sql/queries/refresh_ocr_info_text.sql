SELECT text FROM {schema}.ocr_info WHERE "assetId" = $1
