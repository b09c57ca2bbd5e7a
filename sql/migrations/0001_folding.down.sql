DROP FUNCTION mesh.fold(text), mesh.folding_table();
