/* PNG through libpng: images of bytes, channels first. Reading turns palettes, few bits and 16 bits into 8 bits of grey
 * or RGB and drops transparency; writing takes bytes, or floats of which 0 to 1 is the range.
 *
 * libpng reports errors by longjmp. All that lives across such a jump stands in a struct that was filled before setjmp,
 * and is let go by the function that called the one with the setjmp. Its messages become our error, its memory comes
 * from the context, and it prints nothing. */
#include <setjmp.h>
#include <string.h>
#include "io.h"
#if NP_WITH_PNG
#include <png.h>

typedef struct job {
  neap_context *ctx;
  const char *path;
  jmp_buf jump;
  png_structp png;
  png_infop info;
  char message[128];
  int refused;       /* an allocation was */
  const uint8_t *at; /* reading: what is left of the file */
  size_t left;
  np_writer *writer; /* writing */
  uint8_t *pixels;   /* rows of interleaved channels */
  size_t bytes;
  int64_t H, W, C;
} job;

static void on_error(png_structp png, png_const_charp message) {
  job *j = png_get_error_ptr(png);
  np_text text;
  np_text_init(&text, j->message, sizeof j->message);
  np_text_add(&text, "%s", message);
  longjmp(j->jump, 1);
}

static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }
static void on_free(png_structp png, png_voidp block) { np_lib_free(((job *)png_get_mem_ptr(png))->ctx, block); }

static png_voidp on_alloc(png_structp png, png_alloc_size_t size) {
  job *j = png_get_mem_ptr(png);
  void *p = np_lib_alloc(j->ctx, size);
  if (!p) j->refused = 1;
  return p;
}

static int make_pixels(job *j) {
  j->bytes = (size_t)(j->H * j->W * j->C);
  j->pixels = np_alloc(j->ctx, j->bytes);
  return j->pixels != NULL;
}

static void free_pixels(job *j) {
  if (j->pixels) np_free(j->ctx, j->pixels, j->bytes);
}

/* ---- reading ---- */

static void on_read(png_structp png, png_bytep out, size_t n) {
  job *j = png_get_io_ptr(png);
  if (n > j->left) png_error(png, "it ends too early");
  memcpy(out, j->at, n);
  j->at += n;
  j->left -= n;
}

static int decode(job *j) {
  if (setjmp(j->jump)) return -1;
  size_t file = j->left;
  j->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, j, on_error, on_warning, j, on_alloc, on_free);
  if (j->png) j->info = png_create_info_struct(j->png);
  if (!j->info) return -1;
  png_set_read_fn(j->png, j, on_read);
  png_set_user_limits(j->png, 1 << 20, 1 << 20);
  png_set_chunk_cache_max(j->png, 100);
  png_read_info(j->png, j->info);
  int colour = png_get_color_type(j->png, j->info);
  if (png_get_bit_depth(j->png, j->info) == 16) png_set_scale_16(j->png);
  if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(j->png);
  else if (colour == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(j->png);
  png_set_strip_alpha(j->png);
  int passes = png_set_interlace_handling(j->png);
  png_read_update_info(j->png, j->info);
  j->H = png_get_image_height(j->png, j->info);
  j->W = png_get_image_width(j->png, j->info);
  j->C = png_get_channels(j->png, j->info);
  if ((j->C != 1 && j->C != 3) || png_get_rowbytes(j->png, j->info) != (size_t)(j->W * j->C))
    png_error(j->png, "its pixels are of a kind that Neap does not read");
  /* Deflate shrinks at most about 1032 times, and a pixel may be one bit that became three bytes. */
  if ((uint64_t)(j->H * j->W) / (1040 * 8) > file) png_error(j->png, "it is too short for its size");
  if (!make_pixels(j)) return -1;
  for (int pass = 0; pass < passes; pass++)
    for (int64_t y = 0; y < j->H; y++) png_read_row(j->png, j->pixels + y * j->W * j->C, NULL);
  png_read_end(j->png, NULL);
  return 0;
}

static neap_tensor *to_planes(job *j) {
  int64_t n = j->H * j->W;
  neap_tensor *t = np_tensor_new(j->ctx, NEAP_U8, 3, (int64_t[]){j->C, j->H, j->W});
  if (!t) return NULL;
  uint8_t *out = (uint8_t *)np_data(t);
  for (int64_t channel = 0; channel < j->C; channel++)
    for (int64_t i = 0; i < n; i++) out[channel * n + i] = j->pixels[i * j->C + channel];
  return t;
}

neap_tensor *neap_read_png(neap_context *c, const char *path) {
  np_mapping m;
  neap_tensor *t = NULL;
  if (np_failed(c) || np_map_file(c, path, &m) != NEAP_OK) return NULL;
  job *j = np_alloc_zero(c, sizeof *j);
  if (j) {
    j->ctx = c;
    j->path = path;
    j->at = m.data;
    j->left = m.size;
    if (decode(j) == 0) t = to_planes(j);
    else if (j->message[0] && !j->refused) np_bad_file(c, path, "%s", j->message);
    else np_fail(c, NEAP_ERR_MEMORY, "read_png: out of memory");
    png_destroy_read_struct(&j->png, &j->info, NULL);
    free_pixels(j);
    np_free(c, j, sizeof *j);
  }
  np_unmap_file(&m);
  return t;
}

/* ---- writing ---- */

static void on_write(png_structp png, png_bytep data, size_t n) {
  job *j = png_get_io_ptr(png);
  if (np_writer_write(j->writer, data, n) != NEAP_OK) png_error(png, "write");
}

static void on_flush(png_structp png) { (void)png; }

static int encode(job *j) {
  if (setjmp(j->jump)) return -1;
  j->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, j, on_error, on_warning, j, on_alloc, on_free);
  if (j->png) j->info = png_create_info_struct(j->png);
  if (!j->info) return -1;
  png_set_write_fn(j->png, j, on_write, on_flush);
  png_set_IHDR(j->png, j->info, (png_uint_32)j->W, (png_uint_32)j->H, 8, j->C == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(j->png, j->info);
  for (int64_t y = 0; y < j->H; y++) png_write_row(j->png, j->pixels + y * j->W * j->C);
  png_write_end(j->png, j->info);
  return 0;
}

static uint8_t to_byte(float x) {
  float scaled = x * 255.0f + 0.5f;
  return scaled >= 255.0f ? 255 : scaled > 0 ? (uint8_t)scaled : 0; /* NaN is 0 */
}

/* The image's values, converted and interleaved, in j->pixels. */
static int fill_pixels(job *j, neap_tensor *image) {
  neap_dtype d = np_is_float(image->at.dtype) ? NEAP_F32 : NEAP_U8;
  int64_t n = j->H * j->W;
  size_t bytes = (size_t)(image->at.count * np_size_of(d));
  void *values = np_alloc(j->ctx, bytes);
  int status = values ? neap_copy_out(image, d, values) : NEAP_ERR_MEMORY;
  if (status == NEAP_OK && !make_pixels(j)) status = NEAP_ERR_MEMORY;
  for (int64_t channel = 0; status == NEAP_OK && channel < j->C; channel++)
    for (int64_t i = 0; i < n; i++)
      j->pixels[i * j->C + channel] = d == NEAP_F32 ? to_byte(((float *)values)[channel * n + i]) : ((uint8_t *)values)[channel * n + i];
  if (values) np_free(j->ctx, values, bytes);
  return status;
}

static int check_image(job *j, const neap_tensor *image) {
  const np_layout *l = &image->at;
  char shape[128];
  np_shape_text(shape, sizeof shape, image);
  if (l->ndim != 2 && !(l->ndim == 3 && (l->shape[0] == 1 || l->shape[0] == 3)))
    return np_fail(j->ctx, NEAP_ERR_SHAPE, "write_png: shape %s is none of (H, W), (1, H, W) and (3, H, W)", shape);
  if (!np_is_float(l->dtype) && l->dtype != NEAP_U8)
    return np_fail(j->ctx, NEAP_ERR_DTYPE, "write_png: dtype %s; it takes uint8, or floats from 0 to 1", np_dtypes[l->dtype].info.name);
  j->C = l->ndim == 2 ? 1 : l->shape[0];
  j->H = l->shape[l->ndim - 2];
  j->W = l->shape[l->ndim - 1];
  if (j->H < 1 || j->W < 1 || j->H > 1000000 || j->W > 1000000)
    return np_fail(j->ctx, NEAP_ERR_SHAPE, "write_png: shape %s; height and width go from 1 to 1000000", shape);
  return NEAP_OK;
}

static int write_image(job *j, neap_tensor *image) {
  neap_context *c = j->ctx;
  int status = check_image(j, image);
  if (status == NEAP_OK) status = fill_pixels(j, image);
  if (status != NEAP_OK) return status;
  j->writer = np_writer_open(c, j->path);
  if (!j->writer) return c->error;
  int done = encode(j) == 0;
  png_destroy_write_struct(&j->png, &j->info);
  if (done) return np_writer_commit(j->writer);
  np_writer_abandon(j->writer); /* a failed write has set its error; np_fail keeps the first */
  if (j->message[0] && !j->refused) return np_fail(c, NEAP_ERR_IO, "cannot write \"%s\": %s", j->path, j->message);
  return np_fail(c, NEAP_ERR_MEMORY, "write_png: out of memory");
}

int neap_write_png(const char *path, neap_tensor *image) {
  if (!image) return NEAP_ERR_ARGUMENT;
  neap_context *c = image->ctx;
  if (np_failed(c)) return c->error;
  job *j = np_alloc_zero(c, sizeof *j);
  if (!j) return c->error;
  j->ctx = c;
  j->path = path;
  int status = write_image(j, image);
  free_pixels(j);
  np_free(c, j, sizeof *j);
  return status;
}

#else

int neap_write_png(const char *path, neap_tensor *image) {
  (void)path;
  return !image ? NEAP_ERR_ARGUMENT : np_fail(image->ctx, NEAP_ERR_UNSUPPORTED, "write_png: this build of Neap has no PNG files (NEAP_PNG)");
}

neap_tensor *neap_read_png(neap_context *c, const char *path) {
  (void)path;
  np_fail(c, NEAP_ERR_UNSUPPORTED, "read_png: this build of Neap has no PNG files (NEAP_PNG)");
  return NULL;
}

#endif
