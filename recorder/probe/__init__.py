"""`doelband pbx probe`: telephones and a proxy of our own before the real PBX, to see what it can do."""
