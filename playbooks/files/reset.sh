#!/bin/sh
# Takes back what site.yml made after the installation. Safe to run again, and where nothing was made.
set -e
exec 9> /run/kubeadm.lock
flock 9
if test ! -e /etc/kubernetes && test ! -e /etc/systemd/system/pods-network.service; then
  echo nothing
  exit 0
fi
# The whole cluster ends. Members that leave etcd at once would wait for a majority that is gone.
test ! -x /usr/local/bin/kubeadm || kubeadm reset --force --skip-phases remove-etcd-member < /dev/null
test ! -d /var/lib/etcd || find /var/lib/etcd -mindepth 1 -delete
for unit in pods-network approve-serving-certificates; do
  systemctl disable --now $unit.service 2> /dev/null || true
  rm -f /etc/systemd/system/$unit.service /usr/local/sbin/$unit
done
systemctl disable --now renew-certificates.timer 2> /dev/null || true
rm -f /etc/systemd/system/renew-certificates.* /usr/local/sbin/renew-certificates
systemctl disable --now etcd-backup.timer 2> /dev/null || true
rm -f /etc/systemd/system/etcd-backup.* /usr/local/sbin/etcd-backup
rm -rf /etc/kubernetes /etc/cni/net.d /run/cni-leases /root/.kube
systemctl daemon-reload
ip link delete pods 2> /dev/null || true
for table in 'ip pods' 'ip kube-proxy' 'ip6 kube-proxy'; do
  nft delete table $table 2> /dev/null || true
done
for family in iptables ip6tables; do
  "$family-save" | grep -v -e KUBE- -e CNI- | "$family-restore"
done
