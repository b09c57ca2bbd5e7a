DROP FUNCTION mesh.grant_to(name, boolean);
