-- What there is to refresh: which of Immich's tables exist, and the exact type of the embedding column.
SELECT
    to_regclass(format('%I.asset_ocr', $1::text)) IS NOT NULL AS has_asset_ocr,
    to_regclass(format('%I.ocr_search', $1::text)) IS NOT NULL AS has_ocr_search,
    to_regclass(format('%I.ocr_info', $1::text)) IS NOT NULL AS has_ocr_info,
    to_regclass(format('%I.system_metadata', $1::text)) IS NOT NULL AS has_system_metadata,
    EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass(format('%I.asset_job_status', $1::text))
            AND attname = 'ocrAt' AND NOT attisdropped
    ) AS has_ocr_at,
    embedding.type AS embedding_type,
    embedding.dimension AS embedding_dimension
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (
    SELECT format_type(atttypid, atttypmod) AS type, NULLIF(atttypmod, -1) AS dimension
    FROM pg_attribute
    WHERE attrelid = to_regclass(format('%I.smart_search', $1::text))
        AND attname = 'embedding' AND NOT attisdropped
) AS embedding ON true
