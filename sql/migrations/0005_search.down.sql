DROP FUNCTION mesh.nearest(text, jsonb, integer, integer), mesh.in_question(jsonb, integer), mesh.usual_distances(text, integer),
  mesh.distances(text, uuid[]), mesh.distance(text), mesh.lines(uuid[]), mesh.visible(uuid[], jsonb), mesh.score(jsonb, uuid[]),
  mesh.find(jsonb), mesh.candidates(jsonb, jsonb, boolean, boolean), mesh.filters(jsonb), mesh.filter(jsonb),
  mesh.compare(text, text, text, jsonb), mesh.filter_column(text), mesh.scope(jsonb), mesh.owners(jsonb), mesh.rank_of(jsonb),
  mesh.condition(jsonb), mesh.extension_schema(name);
