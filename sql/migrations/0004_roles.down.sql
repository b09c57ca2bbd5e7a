DROP FUNCTION mesh.version(), mesh.demand(boolean), mesh.may(boolean), mesh.grant_to(name, boolean);
DROP TABLE mesh.role;
REVOKE USAGE ON SCHEMA mesh FROM PUBLIC;
