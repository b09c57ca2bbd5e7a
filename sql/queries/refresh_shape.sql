-- What there is to refresh: which of Immich's tables exist, and the exact type of the embedding column.
SELECT
    to_regclass('public.asset_ocr') IS NOT NULL AS has_asset_ocr,
    to_regclass('public.ocr_search') IS NOT NULL AS has_ocr_search,
    to_regclass('public.ocr_info') IS NOT NULL AS has_ocr_info,
    to_regclass('public.system_metadata') IS NOT NULL AS has_system_metadata,
    to_regclass('mesh.emptied') IS NOT NULL AS has_emptied,
    EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('public.asset_job_status') AND attname = 'ocrAt' AND NOT attisdropped
    ) AS has_ocr_at,
    embedding.type AS embedding_type,
    embedding.dimension AS embedding_dimension
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (
    SELECT format_type(atttypid, atttypmod) AS type, NULLIF(atttypmod, -1) AS dimension
    FROM pg_attribute
    WHERE attrelid = to_regclass('public.smart_search') AND attname = 'embedding' AND NOT attisdropped
) AS embedding ON true
