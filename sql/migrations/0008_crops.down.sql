DROP FUNCTION mesh.replace_tokens(uuid, text), mesh.hide_cropped(uuid);
