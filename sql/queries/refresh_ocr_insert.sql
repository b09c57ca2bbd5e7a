-- One row per line. Immich leaves `id` and `isVisible` to their defaults, and so do we.
INSERT INTO public.asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", "textScore", text)
SELECT $1, line.*
FROM unnest(
    $2::real[], $3::real[], $4::real[], $5::real[], $6::real[], $7::real[], $8::real[], $9::real[],
    $10::real[], $11::real[], $12::text[]
) AS line
