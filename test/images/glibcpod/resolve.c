// resolve NAME... - what glibc's resolver says: "NAME ok ADDRESS..." or "NAME failed CAUSE" for each name. It is linked
// with the C library of the node payload, whose resolver is the one of most programs that are not written in Go.
// "resolve -wait" does nothing until it is killed, to keep a container running.
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
	int failed = 0;
	if (argc == 2 && strcmp(argv[1], "-wait") == 0)
		for (;;)
			pause();
	for (int i = 1; i < argc; i++) {
		struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
		int code = getaddrinfo(argv[i], NULL, &hints, &list);
		if (code != 0) {
			printf("%s failed %s\n", argv[i], gai_strerror(code));
			failed = 1;
			continue;
		}
		printf("%s ok", argv[i]);
		for (struct addrinfo *a = list; a != NULL; a = a->ai_next) {
			char text[INET6_ADDRSTRLEN];
			void *addr = a->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr
			                                     : (void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr;
			printf(" %s", inet_ntop(a->ai_family, addr, text, sizeof text));
		}
		printf("\n");
		freeaddrinfo(list);
	}
	return failed;
}
