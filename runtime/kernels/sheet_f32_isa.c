/* sheet_f32_isa.c: rows of float numbers side by side; the text is in sheet.inl. */
#define T float
#define S f32
#include "sheet.inl"
