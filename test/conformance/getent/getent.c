/*
 * getent hosts NAME, as the DNS tests call it in the agnhost image. Upstream's image is Alpine, where the command is
 * linked against musl; this one is too, so that the tests ask the cluster's DNS through both resolvers, glibc's and musl's.
 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct addrinfo hints, *found, *a;
	char address[NI_MAXHOST];

	if (argc != 3 || strcmp(argv[1], "hosts")) {
		fprintf(stderr, "usage: getent hosts NAME\n");
		return 3;
	}
	memset(&hints, 0, sizeof hints);
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_CANONNAME;
	if (getaddrinfo(argv[2], NULL, &hints, &found))
		return 2;
	for (a = found; a; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST))
			return 2;
		printf("%-15s %s\n", address, found->ai_canonname ? found->ai_canonname : argv[2]);
	}
	return 0;
}
