SELECT mesh.detach();
DROP FUNCTION mesh.detach(), mesh.attach(), mesh.on_change(), mesh.follow(uuid[]), mesh.refresh(uuid[]), mesh.take_turns(uuid[]),
  mesh.source_lines(uuid[]), mesh.fork_lines(uuid[]), mesh.official_lines(uuid[]), mesh.to_real(text),
  mesh.letter_size(real, real, real, real, real, real), mesh.sources(), mesh.trusted(text);
DROP TABLE mesh.stale, mesh.emptied, mesh.turn;
