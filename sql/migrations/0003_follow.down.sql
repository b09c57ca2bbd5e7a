SELECT mesh.detach();
DROP FUNCTION mesh.detach(), mesh.attach(), mesh.on_truncate(), mesh.on_update(), mesh.on_rows(), mesh.follow(uuid[]),
  mesh.refresh(uuid[]), mesh.source_lines(uuid[]), mesh.fork_lines(uuid[]), mesh.official_lines(uuid[]), mesh.to_real(text),
  mesh.letter_size(real, real, real, real, real, real), mesh.has_column(text, text);
DROP TABLE mesh.stale;
