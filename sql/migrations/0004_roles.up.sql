-- Who may do what. No role is named in a GRANT: a backup of Immich's would carry it to a server that does not know it, and
-- its restore would end there. Everybody may call the functions that search and refresh; they run with the rights of the
-- owner of Immich's tables, and ask this table whether the session's user may.

CREATE TABLE mesh.role (name name PRIMARY KEY, may_refresh boolean NOT NULL);
COMMENT ON TABLE mesh.role IS 'Roles that may search, and those that may refresh single photos too; Immich''s own role always may.';

CREATE FUNCTION mesh.grant_to(role_name name, may_refresh boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF to_regrole(quote_ident(role_name)) IS NULL THEN
    RAISE undefined_object USING MESSAGE = format('role "%s" does not exist', role_name);
  END IF;
  INSERT INTO mesh.role VALUES (role_name, may_refresh)
  ON CONFLICT (name) DO UPDATE SET may_refresh = excluded.may_refresh;
END
$$;
COMMENT ON FUNCTION mesh.grant_to(name, boolean) IS 'Lets a role search, and with true refresh single photos; nothing else.';

CREATE FUNCTION mesh.may(refresh boolean) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT pg_has_role(session_user, current_user, 'MEMBER')
    OR EXISTS (SELECT FROM mesh.role WHERE name = session_user AND (may_refresh OR NOT refresh))
$$;
COMMENT ON FUNCTION mesh.may(boolean) IS 'Whether the session''s user may search, or with true refresh.';

CREATE FUNCTION mesh.demand(refresh boolean) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT mesh.may(refresh) THEN
    RAISE insufficient_privilege USING MESSAGE =
      CASE WHEN refresh THEN 'this role may not write' ELSE 'this role may not search' END,
      HINT = 'immich-mesh db migrate --grant ROLE' || CASE WHEN refresh THEN ' --refresh' ELSE '' END;
  END IF;
END
$$;

CREATE FUNCTION mesh.version() RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(max(version), 0) FROM mesh.migration
$$;
COMMENT ON FUNCTION mesh.version() IS 'Version of this schema.';

REVOKE ALL ON FUNCTION mesh.grant_to(name, boolean) FROM PUBLIC;
GRANT USAGE ON SCHEMA mesh TO PUBLIC;
