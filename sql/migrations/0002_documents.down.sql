DROP FUNCTION mesh.document(mesh.line[]), mesh.grams(text), mesh.dates(text), mesh.runs(text), mesh.separators();
DROP TABLE mesh.ocr_document;
DROP TYPE mesh.line;
