/* A program that knows only an installed Neap: opens a context, sums a tensor, closes. Built outside of the tree by
 * check.sh, against the shared and against the static library. */

#include <neap.h>
#include <stdio.h>

int main(void) {
  const int64_t shape[] = {4};
  const float data[] = {1, 2, 3, 4};
  neap_context *c = neap_open(NULL);
  neap_tensor *x = neap_copy_in(c, NEAP_F32, 1, shape, data);
  neap_value arg = {.kind = NEAP_TENSOR, .t = x};
  neap_tensor *y = NULL;
  double sum = 0;
  neap_call(c, neap_op_find("sum"), 1, &arg, &y, 0, NULL);
  sum = neap_item(y);
  if (neap_error(c) != NEAP_OK) printf("%s\n", neap_error_message(c));
  neap_release(y);
  neap_release(x);
  neap_close(c);
  printf("sum %g\n", sum);
  return sum == 10 ? 0 : 1;
}
