/* sheet_f64_isa.c: rows of double numbers side by side; the text is in sheet.inl. */
#define T double
#define S f64
#include "sheet.inl"
