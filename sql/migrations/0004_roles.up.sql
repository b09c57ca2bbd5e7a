-- What a role other than Immich's own may do. `immich-mesh db migrate --grant ROLE` calls these.

CREATE FUNCTION mesh.grant_to(role_name name, may_refresh boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  source text;
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA mesh, public TO %I', role_name);
  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA mesh TO %I', role_name);
  FOREACH source IN ARRAY ARRAY['asset', 'asset_exif', 'asset_face', 'asset_file', 'album_asset', 'tag_asset', 'tag_closure',
                                'smart_search', 'asset_ocr', 'ocr_info', 'ocr_search', 'asset_job_status'] LOOP
    CONTINUE WHEN to_regclass('public.' || source) IS NULL;
    EXECUTE format('GRANT SELECT ON public.%I TO %I', source, role_name);
    IF may_refresh AND source IN ('smart_search', 'asset_ocr', 'ocr_info', 'ocr_search', 'asset_job_status') THEN
      EXECUTE format('GRANT INSERT, UPDATE, DELETE ON public.%I TO %I', source, role_name);
    END IF;
  END LOOP;
  -- Which models Immich is set to: a refresh must use the same.
  IF may_refresh AND to_regclass('public.system_metadata') IS NOT NULL THEN
    EXECUTE format('GRANT SELECT ON public.system_metadata TO %I', role_name);
  END IF;
END
$$;
COMMENT ON FUNCTION mesh.grant_to(name, boolean) IS 'Lets a role search, and with true refresh single photos; nothing else.';
REVOKE ALL ON FUNCTION mesh.grant_to(name, boolean) FROM PUBLIC;
