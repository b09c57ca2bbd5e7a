-- `{type}` is the column's own type as the catalogue names it, e.g. vector(512).
INSERT INTO public.smart_search ("assetId", embedding) VALUES ($1, $2::text::{type})
ON CONFLICT ("assetId") DO UPDATE SET embedding = excluded.embedding
