# openapi.sed: makes each line of the document a C string literal
s/[\\"]/\\&/g
s/.*/"&\\n"/
