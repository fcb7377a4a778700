/* Takes SIGHUP by sigwait, without a handler: in its first thread, or in another one.
 * Usage: sigwait FILE first|other */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static FILE *out;
static sigset_t hup;

static void *take(void *unused)
{
	for (int sig; sigwait(&hup, &sig) == 0;)
		fprintf(out, "HUP\n");
	return unused;
}

static void *rest(void *unused)
{
	for (;;)
		pause();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	if (argc != 3 || !(out = fopen(argv[1], "w")))
		return 2;
	setvbuf(out, NULL, _IOLBF, 0);
	sigemptyset(&hup);
	sigaddset(&hup, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &hup, NULL);
	int first = !strcmp(argv[2], "first");
	pthread_create(&thread, NULL, first ? rest : take, NULL);
	fprintf(out, "up\n");
	first ? take(NULL) : rest(NULL);
	return 1;
}
