/* A program that is killed while it saves: whenever that is, the file is one that was saved whole, the old one or the new. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

enum { COUNT = 40000, KILLS = 25 };
static char folder[64], path[96];

/* Version v: a tensor whose elements are all v, and its number in the metadata. */
static int save_version(neap_context *c, int v) {
  char number[16];
  snprintf(number, sizeof number, "%d", v);
  neap_tensor *t = neap_full(c, 1, (const int64_t[]){COUNT}, v, NEAP_F32);
  int status = neap_save(c, path, 1, (const char *[]){"t"}, &t, 1, (const char *[]){"version", number});
  neap_release(t);
  return status;
}

/* The version in the file, or -1 when it is not whole. */
static int version_of(neap_context *c) {
  neap_archive *a = neap_archive_open(c, path);
  neap_tensor *t = neap_archive_tensor(a, 0);
  const char *value = NULL;
  neap_archive_meta(a, 0, &value);
  int v = value ? atoi(value) : -1;
  const float *x = neap_read(t);
  for (int64_t i = 0; x && i < COUNT; i++)
    if (x[i] != (float)v) v = -1;
  if (neap_count(t) != COUNT) v = -1;
  neap_release(t);
  neap_archive_close(a);
  return v;
}

static void save_for_ever(int from) {
  neap_context *c = neap_open(NULL);
  for (int v = from; save_version(c, v) == NEAP_OK; v++) {}
  _exit(1);
}

int main(void) {
  strcpy(folder, "/tmp/neap_killed_XXXXXX");
  if (!mkdtemp(folder)) return 1;
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  neap_context *c = neap_open(NULL);
  test_case("killed: a file that was being saved is the old one or the new one, whole");
  int status = save_version(c, 0), last = 0;
  if (status == NEAP_ERR_UNSUPPORTED) {
    printf("skip killed: safetensors are not in this build\n");
    return 0;
  }
  check(status == NEAP_OK);
  for (int i = 0; i < KILLS; i++) {
    pid_t pid = fork();
    if (pid == 0) save_for_ever(last + 1);
    struct timespec pause = {0, 2000000L + i * 379000L};
    nanosleep(&pause, NULL);
    kill(pid, SIGKILL);
    check(pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    int v = version_of(c);
    check_at(__LINE__, v >= last, "version %d after %d: %s", v, last, neap_error_message(c));
    last = v;
    neap_clear(c);
  }
  check(last > 3); /* some were killed at work */
  neap_close(c);
  char command[96];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command) != 0 || check_done();
}
