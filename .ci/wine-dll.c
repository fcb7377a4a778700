/* bcryptprimitives.dll for a Wine that has none: Go programs will not start
 * without it. Test equipment only.
 *
 * It also mends how such a Wine answers two calls it does not know, removing
 * and renaming with POSIX semantics (Windows 10): Go's fallback waits for "no
 * such information class", as older Windows says, and Wine says "not
 * implemented". */
#include <windows.h>
#include <ntsecapi.h>
#include <string.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T n)
{
	return RtlGenRandom(data, (ULONG)n);
}

/* The call's fifth argument is the class. The ten zeros are where the original
 * continues; NtSetInformationFile begins with the eight bytes at keep. */
static unsigned char stub[] = {
	0x8b, 0x44, 0x24, 0x28,             /*  0 mov eax, [rsp+40] */
	0x83, 0xf8, 0x40, 0x74, 0x1b,       /*  4 cmp eax, 64 (disposition, extended); je refuse */
	0x83, 0xf8, 0x41, 0x74, 0x16,       /*  9 cmp eax, 65 (rename, extended); je refuse */
	0, 0, 0, 0, 0, 0, 0, 0,             /* 14 keep: mov r10, rcx; mov eax, number */
	0xff, 0x25, 0, 0, 0, 0,             /* 22 jmp [rip+0] */
	0, 0, 0, 0, 0, 0, 0, 0,             /* 28 address of the rest */
	0xb8, 0x03, 0x00, 0x00, 0xc0, 0xc3, /* 36 refuse: mov eax, STATUS_INVALID_INFO_CLASS; ret */
};

static void mend(void)
{
	static const unsigned char head[] = {0x4c, 0x8b, 0xd1, 0xb8};
	unsigned char *call = (void *)GetProcAddress(GetModuleHandleA("ntdll"), "NtSetInformationFile");
	unsigned char *near_by = NULL, *rest = call + 8, jump[8] = {0xe9, 0, 0, 0, 0, 0x90, 0x90, 0x90};
	DWORD was;
	int way;

	if (!call || memcmp(call, head, sizeof head))
		return; /* another Wine: it may need no help */
	for (SIZE_T at = 1; !near_by && at < 4096; at++)
		near_by = VirtualAlloc((void *)(((SIZE_T)call & ~(SIZE_T)0xffff) + (at << 16)), sizeof stub,
				       MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READWRITE);
	if (!near_by || !VirtualProtect(call, 8, PAGE_EXECUTE_READWRITE, &was))
		return;
	memcpy(stub + 14, call, 8);
	memcpy(stub + 28, &rest, 8);
	memcpy(near_by, stub, sizeof stub);
	way = (int)(near_by - (call + 5));
	memcpy(jump + 1, &way, 4);
	memcpy(call, jump, 8);
	VirtualProtect(call, 8, was, &was);
}

BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, LPVOID reserved)
{
	(void)self, (void)reserved;
	if (reason == DLL_PROCESS_ATTACH)
		mend();
	return TRUE;
}
