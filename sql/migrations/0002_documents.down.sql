DROP FUNCTION mesh.document(mesh.line[]), mesh.grams(text), mesh.runs(text);
DROP TABLE mesh.ocr_document;
DROP TYPE mesh.line;
