-- A photo that its owner has cropped in Immich keeps its lines of text; those of which less than half is inside the crop are
-- not visible. A refresh reads the photo before the crop, as Immich's own OCR does, and must not bring those lines back.

CREATE FUNCTION mesh.hide_cropped(photo uuid) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  crop jsonb;
  wide double precision;
  high double precision;
BEGIN
  PERFORM mesh.demand(true);
  IF mesh.trusted('asset_edit') IS NULL OR mesh.trusted('asset_exif') IS NULL OR NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = mesh.trusted('asset_ocr') AND attname = 'isVisible' AND NOT attisdropped) THEN
    RETURN NULL;
  END IF;
  crop := (SELECT edit.parameters::jsonb FROM public.asset_edit AS edit
           WHERE edit."assetId" = photo AND edit.action::text = 'crop' LIMIT 1);
  -- The photo's sides as it is looked at: a camera held upright has them the other way round.
  SELECT CASE WHEN turned THEN exif.high ELSE exif.wide END, CASE WHEN turned THEN exif.wide ELSE exif.high END INTO wide, high
  FROM (SELECT (fields ->> 'exifImageWidth')::double precision AS wide, (fields ->> 'exifImageHeight')::double precision AS high,
               coalesce(fields ->> 'orientation', '') IN ('5', '6', '7', '8', '-90', '90') AS turned
        FROM (SELECT to_jsonb(exif) AS fields FROM public.asset_exif AS exif WHERE exif."assetId" = photo) AS row) AS exif;
  IF crop IS NULL OR wide IS NULL OR high IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('search_path', 'pg_catalog, public, pg_temp', true);
  UPDATE public.asset_ocr AS line SET "isVisible" = false
  FROM (SELECT id, least(x1, x2, x3, x4) * wide AS x_from, greatest(x1, x2, x3, x4) * wide AS x_to,
               least(y1, y2, y3, y4) * high AS y_from, greatest(y1, y2, y3, y4) * high AS y_to
        FROM public.asset_ocr WHERE "assetId" = photo) AS box
  WHERE box.id = line.id AND coalesce(
    greatest(0, least(x_to, (crop ->> 'x')::double precision + (crop ->> 'width')::double precision)
                - greatest(x_from, (crop ->> 'x')::double precision))
    * greatest(0, least(y_to, (crop ->> 'y')::double precision + (crop ->> 'height')::double precision)
                  - greatest(y_from, (crop ->> 'y')::double precision))
    / nullif((x_to - x_from) * (y_to - y_from), 0), 0) < 0.5;
  RETURN ARRAY(SELECT line.text FROM public.asset_ocr AS line WHERE line."assetId" = photo AND line."isVisible" ORDER BY line.ctid);
END
$$;
COMMENT ON FUNCTION mesh.hide_cropped(uuid) IS 'Hides a cropped photo''s lines outside its crop; the texts that stay visible, null for a photo that is not cropped.';

CREATE FUNCTION mesh.replace_tokens(photo uuid, tokens text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM mesh.demand(true);
  IF mesh.trusted('ocr_search') IS NULL THEN
    RETURN;
  END IF;
  PERFORM set_config('search_path', 'pg_catalog, public, pg_temp', true);
  IF tokens = '' THEN
    DELETE FROM public.ocr_search AS tokenised WHERE tokenised."assetId" = photo;
  ELSE
    INSERT INTO public.ocr_search ("assetId", text) VALUES (photo, tokens)
    ON CONFLICT ("assetId") DO UPDATE SET text = excluded.text;
  END IF;
END
$$;
COMMENT ON FUNCTION mesh.replace_tokens(uuid, text) IS 'Replaces what Immich''s own OCR filter searches in a photo.';
