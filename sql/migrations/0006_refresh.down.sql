DROP FUNCTION mesh.missing_embedding(uuid), mesh.missing_text(uuid), mesh.ml_settings(), mesh.replace_embedding(uuid, text),
  mesh.replace_text(uuid, timestamptz, real[], real[], real[], text[], text, jsonb, text), mesh.demand_photo(uuid);
