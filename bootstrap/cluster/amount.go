package cluster

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// MinMemory is what kubelet, containerd and one small pod need.
const MinMemory = 256 << 20

// ParseCPUs parses a number of processors. It returns 0 for no limit.
func ParseCPUs(text string) (float64, error) {
	if text == "max" || text == "no-limit" {
		return 0, nil
	}
	cpus, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(cpus) {
		return 0, fmt.Errorf("%q is not a number from 0.1 to 1024", text)
	}
	return cpus, ValidateCPUs(cpus)
}

// ValidateCPUs returns why a node cannot have so many processors.
func ValidateCPUs(cpus float64) error {
	if !(cpus >= 0.1 && cpus <= 1024) {
		return fmt.Errorf("%q is not a number from 0.1 to 1024", strconv.FormatFloat(cpus, 'g', -1, 64))
	}
	return nil
}

// ParseMemory parses "2g", "1500mb", "2Gi" or, as minikube does, "2048" for megabytes. 0 means no limit.
func ParseMemory(text string) (int64, error) {
	if text == "max" || text == "no-limit" {
		return 0, nil
	}
	digits := strings.TrimRight(strings.ToLower(text), "bimgtk")
	shift, ok := map[string]int{
		"": 20, "k": 10, "kb": 10, "ki": 10, "m": 20, "mb": 20, "mi": 20, "g": 30, "gb": 30, "gi": 30, "t": 40, "tb": 40, "ti": 40,
	}[strings.ToLower(text)[len(digits):]]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !ok || !(n > 0) || n > 1<<60/float64(int64(1)<<shift) {
		return 0, fmt.Errorf("%q is not an amount of memory", text)
	}
	bytes := int64(n * float64(int64(1)<<shift))
	if bytes < MinMemory {
		return 0, fmt.Errorf("%q is too little: a node needs %d MB", text, MinMemory>>20)
	}
	return bytes, nil
}

// FormatMemory is the shortest text that ParseMemory reads as exactly this amount.
func FormatMemory(bytes int64) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{40, "Ti"}, {30, "Gi"}, {20, "Mi"}} {
		if bytes%(1<<unit.shift) == 0 {
			return strconv.FormatInt(bytes>>unit.shift, 10) + unit.name
		}
	}
	return strconv.FormatFloat(float64(bytes)/1024, 'f', -1, 64) + "Ki" // exact: only the exponent changes
}
