DROP FUNCTION mesh.faces_at(uuid), mesh.missing(uuid), mesh.looks_for_faces();
